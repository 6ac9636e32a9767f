module odigos-cp/cluster/pause

go 1.26.0
