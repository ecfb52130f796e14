"""What both assistants share: the ledger, keys and actors."""
