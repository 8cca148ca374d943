"""The HTTP server: the native API over Starlette and uvicorn. Nothing else imports either of them."""
