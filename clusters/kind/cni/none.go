package cni

// none leaves nodes without a network for pods: they do not get Ready, and pods that need one stay pending.
var none = Plugin{}
