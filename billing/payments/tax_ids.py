"""Kinds of tax id that Stripe knows and most of our customers have, and what each looks like.

Stripe has the last word. What cannot be right is told at once, though Stripe may not answer.
Source of the forms: Stripe's list of customer tax ids, and for the EU the list of VIES, both read
2026-11-26.
"""

import re
from dataclasses import dataclass

# What people write between the digits.
_BETWEEN = re.compile(r"[\s./-]+")

_EU = (
    r"ATU\d{8}|BE[01]\d{9}|BG\d{9,10}|CY\d{8}[A-Z]|CZ\d{8,10}|DE\d{9}|DK\d{8}|EE\d{9}|EL\d{9}"
    r"|ES[A-Z\d]\d{7}[A-Z\d]|FI\d{8}|FR[A-Z\d]{2}\d{9}|HR\d{11}|HU\d{8}(\d{3})?|IE\d[A-Z\d+*]\d{5}[A-Z]{1,2}"
    r"|IT\d{11}|LT(\d{9}|\d{12})|LU\d{8}|LV\d{11}|MT\d{8}|NL[A-Z\d+*]{10}\d{2}|PL\d{10}|PT\d{9}"
    r"|RO\d{2,10}|SE\d{12}|SI\d{8}|SK\d{10}|XI(\d{9}|\d{12})"
)


@dataclass(frozen=True, slots=True)
class TaxIdType:
    """form: of the number without what stands between its digits. example: as Stripe takes it."""

    label: str
    form: str
    example: str

    def clean(self, value: str) -> str:
        """As Stripe takes it. Raises ValueError for what has another form."""
        bare = _BETWEEN.sub("", value).upper()
        if not re.fullmatch(self.form, bare):
            raise ValueError(f"{value} is not of the form of {self.example}")
        if not _BETWEEN.search(self.example):
            return bare
        return " ".join(value.upper().split())


TAX_ID_TYPES = {
    "eu_vat": TaxIdType("EU VAT number", _EU, "DE123456789"),
    "gb_vat": TaxIdType("UK VAT number", r"GB(\d{9}|\d{12}|(GD|HA)\d{3})", "GB123456789"),
    "us_ein": TaxIdType("US EIN", r"\d{9}", "12-3456789"),
    "ae_trn": TaxIdType("United Arab Emirates TRN", r"\d{15}", "123456789012345"),
    "ar_cuit": TaxIdType("Argentinian CUIT", r"\d{11}", "12-3456789-01"),
    "au_abn": TaxIdType("Australian ABN", r"\d{11}", "12345678912"),
    "br_cnpj": TaxIdType("Brazilian CNPJ", r"[A-Z\d]{12}\d{2}", "01.234.456/5432-10"),
    "ca_bn": TaxIdType("Canadian BN", r"\d{9}", "123456789"),
    "ch_vat": TaxIdType("Swiss VAT number", r"CHE\d{9}(MWST|TVA|IVA)", "CHE-123.456.789 MWST"),
    "cl_tin": TaxIdType("Chilean TIN", r"\d{7,8}[\dK]", "12.345.678-K"),
    "il_vat": TaxIdType("Israeli VAT number", r"\d{5,9}", "000012345"),
    "in_gst": TaxIdType("Indian GST number", r"\d{2}[A-Z]{5}\d{4}[A-Z\d]{4}", "12ABCDE3456FGZH"),
    "jp_cn": TaxIdType("Japanese corporate number", r"\d{13}", "1234567891234"),
    "kr_brn": TaxIdType("South Korean BRN", r"\d{10}", "123-45-67890"),
    "mx_rfc": TaxIdType("Mexican RFC", r"[A-ZÑ&]{3,4}\d{6}[A-Z\d]{3}", "ABC010203AB9"),
    "no_vat": TaxIdType("Norwegian VAT number", r"\d{9}MVA", "123456789MVA"),
    "nz_gst": TaxIdType("New Zealand GST number", r"\d{8,9}", "123456789"),
    "sg_gst": TaxIdType("Singaporean GST number", r"[A-Z\d]{9,10}", "M12345678X"),
    "tr_tin": TaxIdType("Turkish TIN", r"\d{10}", "0123456789"),
    "za_vat": TaxIdType("South African VAT number", r"4\d{9}", "4123456789"),
}
