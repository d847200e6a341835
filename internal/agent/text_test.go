package agent

import (
	"fmt"
	"testing"
)

func TestText(t *testing.T) {
	for want, set := range map[string]fmt.Stringer{
		"":                               Kind(0),
		"tool":                           Tool,
		"browser+outdated":               Browser | Outdated,
		"no-fetch-metadata+any-page":     NoFetchMetadata | AnyPage,
		"cookie+known":                   SignCookie | SignsKnown,
		"explorer":                       Explorer,
		"impostor":                       Impostor,
		"library-order+wrong-encoding":   LibraryOrder | WrongEncoding,
		"fetch-metadata+accept-language": SignFetchMetadata | SignAcceptLanguage,
	} {
		if got := set.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
