"""The subcommands of ``lazyrich``, one a file. Each is loaded when it is called."""
