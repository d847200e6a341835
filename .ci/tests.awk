# Shortens what "go test -v" prints: one line for a package that passed,
# everything for one that did not, and at the end what was skipped and why, and
# what failed. The last line of its input is "status N", with what go test exited
# with.

/^ok  \t/ {
	print
	for (i = 1; i <= pending; i++)
		skipped[++skips] = $2 ": " waiting[i]
	text = ""; pending = failing = 0
	next
}

/^\?   \t/ { text = ""; next } # no test files

/^FAIL\t/ {
	printf "%s%s\n", text, $0
	for (i = 1; i <= failing; i++)
		failed[++fails] = $2 ": " names[i]
	if (failing == 0)
		failed[++fails] = $2
	text = ""; pending = failing = 0
	next
}

/^status [0-9]+$/ { status = $2; next }

/^ *--- SKIP: / {
	# The reason is on the line before.
	reason = last
	sub(/^ *[^ ]+_test\.go:[0-9]+: /, "", reason)
	waiting[++pending] = $3 ": " reason
}

/^ *--- FAIL: / { names[++failing] = $3 }

{ text = text $0 "\n"; last = $0 }

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
