"""Follow the credits of the account: readings, a forecast, and an alert before they run out."""
