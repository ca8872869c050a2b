"""What people see: Checkout, 3-D Secure, receipts, invoices, the billing portal."""
