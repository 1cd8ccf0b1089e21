"""A button that is drawn anew when it is pressed keeps the keyboard."""

import pytest


@pytest.mark.parametrize(
    ("task", "button"),
    [
        ("translation", ".links .written button"),
        ("summarization", ".shaded.written button"),
        ("translation", ".folder-name"),
    ],
)
def test_enter_leaves_the_keyboard_on_the_button(open_mock, write, task, button):
    tab = open_mock(task)
    write(tab)
    tab.locator("#tab-attention").click()
    pressed = tab.locator(f"#attention {button}").nth(3)
    pressed.wait_for()
    name = pressed.inner_text()
    pressed.evaluate("node => { node.dataset.isOld = true; node.focus(); }")
    tab.keyboard.press("Enter")
    tab.wait_for_function("button => document.activeElement.matches(`${button}:not([data-is-old])`)", arg=button)
    assert tab.locator(":focus").inner_text() == name
