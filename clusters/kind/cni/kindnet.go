package cni

// kindnet is kind's own: kind installs it, from kind's own node images, which have the manifest and the program. The project's
// node image has not: kindnetd is no Go module that could be built.
var kindnet = Plugin{ByKind: true, Manifest: "/kind/manifests/default-cni.yaml", Text: "kind: DaemonSet"}
