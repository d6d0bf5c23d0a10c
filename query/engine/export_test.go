package engine

// Registered is how many entries the registry has.
func Registered() int {
	registry.RLock()
	defer registry.RUnlock()
	return len(registry.entries)
}
