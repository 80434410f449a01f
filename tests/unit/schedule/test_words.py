"""Schedules in words, by hand; what has no words is shown as it is."""

from __future__ import annotations

import pytest

from penstock.schedule.times import Cron
from penstock.schedule.words import in_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 5 20 * *", "at 05:00 on day 20 of each month"),
        ("0 6 * * *", "at 06:00 every day"),
        ("*/5 7-18 * * *", "every 5 minutes from 07:00 to 18:59"),
        ("0 19 * * *", "at 19:00 every day"),
        ("30 7,12,19 * * *", "at 07:30, 12:30 and 19:30 every day"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/15 9 * * *", "every 15 minutes from 09:00 to 09:59"),
        ("0 * * * *", "every hour"),
        ("20 * * * *", "at minute 20 of every hour"),
        ("15 8-17 * * 1-5", "every hour from 08:15 to 17:15, from Monday to Friday"),
        ("30 */6 * * *", "every 6 hours from 00:30 to 18:30"),
        ("0 8 * * MON-FRI", "at 08:00 from Monday to Friday"),
        ("0 8 * * sun", "at 08:00 on Sunday"),
        ("0 8 * * 7", "at 08:00 on Sunday"),
        ("0 8 * * 6,7,1", "at 08:00 on Monday, Saturday and Sunday"),
        ("0 8 * * 5 ", "at 08:00 on Friday"),
        ("0 0 L * *", "at 00:00 on the last day of each month"),
        ("0 4 1,15 * *", "at 04:00 on days 1 and 15 of each month"),
        ("0 4 1 1,JUL *", "at 04:00 on day 1 of January and July"),
        ("0 4 * 12 *", "at 04:00 every day in December"),
        ("0 4 * 6-8 MON", "at 04:00 on Monday in June, July and August"),
        ("*/10 6 * 3 *", "every 10 minutes from 06:00 to 06:59, every day in March"),
    ],
)
def test_the_usual_forms_are_words(text: str, words: str) -> None:
    assert in_words(Cron(text)) == words


@pytest.mark.parametrize(
    "text",
    [
        "0 5 13 * 5",  # the 13th, and every Friday
        "0 5 */2 * 1",  # odd days that are Mondays
        "*/7 * * * *",  # four minutes after :56 comes :00
        "0 */5 * * *",  # 20:00, then 00:00
        "5/15 * * * *",
        "0,30 * * * *",
        "10-20 6 * * *",
        "0 6 LW * *",
        "0 6 * * FRI#2",
        "0 6 * * 5L",
        "0 6 * */3 *",
        "0 6 */2 * *",
        "0 6 1-7 * *",
        "0 6 * * */2",
        "*/5 7-9,17-19 * * *",
        "*/5 */2 * * *",
        "0 0,1,2,3,4,5,6 * * *",
        "0 6 * * 0-6",
    ],
)
def test_what_has_no_words_is_shown_as_it_is(text: str) -> None:
    assert in_words(Cron(text)) == text
