"""XMem's three memories: sensory state, working memory, long-term prototypes."""
