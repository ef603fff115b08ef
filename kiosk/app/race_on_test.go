//go:build race

package app

// raceBuild tells a build with the race detector, which does not lay small values
// together and makes frames longer.
const raceBuild = true
