//go:build race

package vault

// raceBuild tells a build with the race detector, which copies more than what
// runs on a terminal does.
const raceBuild = true
