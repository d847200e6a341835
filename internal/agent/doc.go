// Package agent tells who a client says it is, and whether that is true.
//
// [Parse] reads a user agent: an attack tool, a library, a browser and its version, a
// crawler. [Directory.Verify] says whether a client that calls itself a crawler is it, by
// the ranges that the crawler's operator publishes, by its network, and by its name in the
// DNS. [ReadHeaders] reads the names of the headers, and [Contradicts] says what of them no
// browser of the claimed version would send. [Reader.Fingerprint] is the same for the same
// software, whatever address it calls from.
//
// All of it is evidence and no more: who is banned for what is a scenario's business.
// Nothing is said of what is not logged. A column costs a fixed amount at most, however
// long it is, and nothing is allocated for a record.
package agent
