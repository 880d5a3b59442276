"""What every room stands on: checks of arguments, files, progress, pages. It imports no room."""
