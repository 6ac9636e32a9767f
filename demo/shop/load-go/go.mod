module github.com/odigos-cp/demo-load

go 1.26
