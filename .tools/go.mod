// The tools of make lint, in a module of their own so that their dependencies are not the product's.
module github.com/relapse-k8s/relapse/tools

go 1.26.8
