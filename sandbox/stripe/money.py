"""Amounts in a currency's smallest unit: how they are shown, limits and fees."""

ZERO_DECIMAL = frozenset({"jpy", "krw", "vnd", "clp", "pyg", "ugx", "xaf", "xof"})
CURRENCIES = ZERO_DECIMAL | {
    "usd", "eur", "gbp", "chf", "sek", "nok", "dkk", "pln", "czk", "aud", "cad", "nzd", "sgd",
    "hkd", "brl", "mxn", "inr", "ron", "huf", "ils", "zar", "try", "aed", "thb",
}  # fmt: skip
SYMBOLS = {"usd": "$", "eur": "€", "gbp": "£"}

MINIMUM = 50
MAXIMUM = 99_999_999

# 2.9 % + 30 cents; a dispute costs 15 dollars.
FEE_PER_MILLE = 29
FEE_FIXED = 30
DISPUTE_FEE = 1500


def shown(amount: int, currency: str) -> str:
    """`$12.50`, `12.50 CHF`."""
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    whole, rest = divmod(amount, 100)
    text = f"{amount:,}" if currency in ZERO_DECIMAL else f"{whole:,}.{rest:02}"
    symbol = SYMBOLS.get(currency)
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text} {currency.upper()}"


def fee_of(amount: int) -> int:
    return (amount * FEE_PER_MILLE + 500) // 1000 + FEE_FIXED
