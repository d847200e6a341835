// Package payload finds attacks in what a client sent: SQL, script, commands,
// templates, look-ups and ways out of the document root.
package payload
