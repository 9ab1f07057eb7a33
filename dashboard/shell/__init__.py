"""The frame around the pages: address, filters, layout, callbacks."""
