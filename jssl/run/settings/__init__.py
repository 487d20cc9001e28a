"""What can be asked of a run: settings of each system and family, and the flags of every command."""
