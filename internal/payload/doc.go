// Package payload finds attacks in what a client sent: SQL, script, commands,
// templates, look-ups, ways out of the document root.
//
// Words prove nothing: people search for "union select hotels" and read about
// /etc/passwd. What is found is syntax that breaks out of where a value stands, or
// that only the attacked interpreter understands. A text that is a whole statement
// of its own ("SELECT a FROM b" in the field of a query console) has broken out of
// nothing and is let pass, and so is a sentence about an attack as far as it can be
// told from one.
//
// A text is undone of its escapes once, read once by an automaton that finds proofs
// and hints, and read closer only where there is a hint. Work is bounded: of a long
// text the plain stretches are left out, and of what remains the beginning and the
// end are read (see condense). All verdicts follow from the text alone.
package payload
