//go:build !(goexperiment.simd && amd64)

package main

// vectors tells whether package cloudfront splits lines with vector instructions here.
func vectors() bool { return false }
