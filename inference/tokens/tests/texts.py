"""A sentence in each script."""

GREETINGS = {
    "english": "Please write a short note to the team that it is done",
    "latin": "Schreiben Sie bitte eine kurze Nachricht für die Kollegen über den Stand",
    "cyrillic": "Напишите, пожалуйста, короткое сообщение коллегам о состоянии дел",
    "greek": "Γράψτε ένα σύντομο μήνυμα στους συναδέλφους",
    "arabic": "اكتب رسالة قصيرة إلى الزملاء عن حالة العمل",
    "hebrew": "כתוב הודעה קצרה לעמיתים על מצב העבודה",
    "devanagari": "सहकर्मियों को काम की स्थिति पर एक छोटा संदेश लिखें",
    "thai": "เขียนข้อความสั้นถึงเพื่อนร่วมงานเกี่ยวกับสถานะ",
    "han": "请给同事写一条关于工作进展的简短消息",
    "kana": "チームのみなさんへ、しごとのようすについてみじかいメッセージをかいてください",
    "hangul": "동료들에게 업무 상황에 대한 짧은 메시지를 써 주세요",
    "georgian": "დაწერეთ მოკლე შეტყობინება კოლეგებისთვის",
    "armenian": "Գրեք կարճ հաղորդագրություն գործընկերներին",
    "code": 'for i in range(10): print(f"{i:>3} {names[i]!r}", end=", ")',
}
