DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i e"
