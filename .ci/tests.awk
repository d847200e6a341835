# Shortens what "go test -v" prints: one line for a package that passed, what
# its tests said for one that did not, and at the end what was skipped and why,
# and what failed. The last line of its input is "status N", with what go test
# exited with.

# settle ends a package: its name is in $2.
function settle(i) {
	for (i = 1; i <= skipping; i++)
		skipped[++skips] = $2 ": " reasons[i]
	for (i = 1; i <= failing; i++)
		failed[++fails] = $2 ": " names[i]
	text = heading = ""
	split("", said)
	skipping = failing = 0
}

/^ok  \t/ { print; settle(); next }

/^\?   \t/ { settle(); next } # no test files

/^FAIL\t/ {
	printf "%s%s\n", text, $0
	if (failing == 0)
		names[++failing] = "did not build, or ended early"
	settle()
	next
}

/^status [0-9]+$/ { status = $2; next }

# Whose words follow: worth a line only if there are any.
/^=== / { heading = $0 "\n"; test = $3; next }
/^ *--- PASS: / { heading = ""; next }

# What a test said last is why it was skipped.
/^ *--- SKIP: / { reasons[++skipping] = $3 ": " said[$3] }
/^ *--- FAIL: / { names[++failing] = $3 }

{
	text = text heading $0 "\n"
	heading = ""
}

/^ +[^ ]+_test\.go:[0-9]+: / {
	sub(/^ +[^ ]+: /, "")
	said[test] = $0
}

END {
	printf "%s", text
	if (skips > 0)
		print "\nSkipped:"
	for (i = 1; i <= skips; i++)
		print "  " skipped[i]
	if (fails > 0)
		print "\nFailed:"
	for (i = 1; i <= fails; i++)
		print "  " failed[i]
	exit status
}
