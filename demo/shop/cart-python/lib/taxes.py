"""What the state adds."""


def with_tax(price: float) -> float:
    return round(price * 1.19, 2)
