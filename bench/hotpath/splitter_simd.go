//go:build goexperiment.simd && amd64

package main

import "simd/archsimd"

// vectors tells whether package cloudfront splits lines with vector instructions here.
func vectors() bool { return archsimd.X86.AVX2() }
