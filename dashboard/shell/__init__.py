"""Frame the pages: address, filters, layout, callbacks."""
