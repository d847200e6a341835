package ban

import (
	"context"
	"database/sql"
	"fmt"
)

func (f *file) secret(ctx context.Context, name string, fresh [32]byte) (secret [32]byte, err error) {
	var value []byte
	err = f.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO secrets (name, value) VALUES (?, ?)", name, fresh[:]); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT value FROM secrets WHERE name = ?", name).Scan(&value)
	})
	if err == nil && len(value) != len(secret) {
		err = damaged{fmt.Errorf("a secret of %d bytes", len(value))}
	}
	if err != nil {
		return secret, f.explain("read a secret from", err)
	}
	return [32]byte(value), nil
}

// shared: one process holds the lock.
func (f *file) shared() bool { return false }
