"""The picture of one head in full: before it is there, under fingers and buttons, in a window of another size."""


def readout_at_the_end(tab):
    """What is said of the last row and column, where the picture ends if all of it is in sight."""
    box = tab.locator("#attention canvas.matrix").bounding_box()
    for at in (box["height"] / 2, box["height"] - 10):  # it is as wide as it is high
        tab.mouse.move(box["x"] + at, box["y"] + at)
    return tab.locator("#attention .readout").inner_text()


def test_a_picture_that_is_awaited_can_neither_be_zoomed_nor_pressed(open_held):
    tab = open_held("mock('translation')")
    tab.locator("#write .bar").first.wait_for()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    tab.get_by_role("button", name="Zoom in").click()
    tab.get_by_role("button", name="All of it").click()
    tab.locator("#attention canvas.matrix").click()
    tab.evaluate(
        """() => document.querySelector("#attention canvas.matrix").dispatchEvent(
          new WheelEvent("wheel", { ctrlKey: true, deltaY: -80, cancelable: true }))"""
    )
    tab.evaluate("release()")
    tab.locator("#attention .readout", has_text="gives").wait_for()


def test_two_fingers_may_meet_in_one_spot(open_mock):
    tab = open_mock("translation", view="attention", width=390)
    tab.locator("#attention .readout", has_text="gives").wait_for()
    tab.evaluate(
        """() => {
          const canvas = document.querySelector("#attention canvas.matrix");
          for (const [type, pointerId] of [["pointerdown", 11], ["pointerdown", 12], ["pointermove", 12]]) {
            const spot = { pointerType: "touch", clientX: 200, clientY: 200 };
            canvas.dispatchEvent(new PointerEvent(type, { pointerId, ...spot }));
          }
        }"""
    )
    tab.get_by_role("button", name="Zoom in").click()
    assert "zoomed" in tab.locator("#attention canvas.matrix").get_attribute("class")


def test_only_the_first_button_chooses_a_row(open_mock):
    tab = open_mock("translation", view="attention")
    tab.locator("#attention .readout", has_text="gives").wait_for()
    canvas, chosen = tab.locator("#attention canvas.matrix"), tab.locator("#attention .tokens [aria-selected=true]")
    before = chosen.inner_text()
    canvas.click(position={"x": 110, "y": 110}, button="right")
    assert chosen.inner_text() == before
    canvas.click(position={"x": 110, "y": 110})
    assert chosen.inner_text() == "Today" != before


def test_the_whole_picture_stays_whole_in_a_window_of_another_size(open_mock):
    tab = open_mock("translation", view="attention", height=1600)
    tab.locator("#attention .readout", has_text="gives").wait_for()
    end = readout_at_the_end(tab)
    assert "to “<|to-de|>”" in end
    width = "document.querySelector('#attention canvas.matrix').width"
    tab.set_viewport_size({"width": 390, "height": 1600})
    tab.wait_for_function(f"() => {width} < 390")
    assert readout_at_the_end(tab) == end
    tab.get_by_role("button", name="Zoom in").click()
    assert readout_at_the_end(tab) != end
    tab.set_viewport_size({"width": 1280, "height": 1600})
    tab.wait_for_function(f"() => {width} > 390")
    assert readout_at_the_end(tab) == end  # its cells have grown as large as they may be


def test_a_row_that_is_pressed_is_of_the_picture_that_is_in_sight(open_held, write):
    """What comes while another view is open is not drawn: then the picture is of the line before still."""
    tab = open_held("mock('translation')")
    write(tab)
    tab.locator("#tab-attention").click()
    tab.locator("#attention .links .written button").first.wait_for()
    tab.locator("#tab-write").click()
    tab.get_by_role("button", name="From the start").click()
    tab.evaluate("hold('trace')")
    tab.locator("#tab-attention").click()
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-write").click()
    tab.evaluate("() => { release(); hold('head'); }")
    tab.wait_for_function("() => held.length")
    tab.locator("#tab-attention").click()
    canvas = tab.locator("#attention canvas.matrix")
    canvas.click(position={"x": 200, "y": canvas.bounding_box()["height"] - 12})
    tab.evaluate("release()")
    tab.locator("#attention .readout", has_text="“<|to-de|>” gives").wait_for()
