"""What a person does with the live page, and sees of it: for Tests/page.py."""
import json
import os
import time

from browser import Browser

SHOTS = os.environ.get("SCREENSHOTS")


def shot(browser, name):
    if SHOTS:
        time.sleep(0.4)
        browser.screenshot(f"{SHOTS}/{name}.png")


def opened(service, path="/", width=1280, height=860, **more):
    browser = Browser()
    browser.size(width, height, **more)
    browser.open(f"http://127.0.0.1:{service.port}{path}")
    browser.until("document.querySelectorAll('#presets input').length > 1")
    return browser


def texts(browser, selector):
    return browser.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.textContent)")


def order(browser):
    return texts(browser, "#queue .what p")


def no_errors(browser, *expected):
    found = [e for e in browser.errors if not any(word in e for word in expected)]
    assert not found, found


def eventually(true, seconds=20):
    deadline = time.time() + seconds
    while not true():
        assert time.time() < deadline
        time.sleep(0.05)


def press_button(browser, selector, text):
    found = f"[...document.querySelectorAll(`{selector}`)].find(b => b.textContent === {json.dumps(text)})"
    browser.until(found)
    browser.js(f"{found}.click()")


def choose(browser, selector, value):
    browser.js(f"""(() => {{
        const select = document.querySelector(`{selector}`);
        select.value = "{value}";
        select.dispatchEvent(new Event("change", {{ bubbles: true }}));
    }})()""")


def watch(service, path, ends):
    """Reads events until one is found: all kinds so far, and its data."""
    connection = service.connection()
    connection.request("GET", path)
    answer, kinds, kind = connection.getresponse(), [], None
    assert answer.status == 200, answer.status
    while True:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line[7:]
            kinds.append(kind)
        if line.startswith("data: ") and ends(kind, json.loads(line[6:])):
            connection.close()
            return kinds, json.loads(line[6:])


def nameless(browser):
    """Controls and pictures that a screen reader cannot name."""
    roles = {"button", "link", "textbox", "searchbox", "combobox", "listbox", "checkbox", "radio", "spinbutton", "slider", "switch",
             "image", "img", "progressbar", "dialog", "region", "form", "complementary", "DisclosureTriangle"}
    found = []
    for node in browser.send("Accessibility.getFullAXTree")["nodes"]:
        role = node.get("role", {}).get("value")
        if not node["ignored"] and role in roles and not node.get("name", {}).get("value", "").strip():
            html = browser.send("DOM.getOuterHTML", backendNodeId=node["backendDOMNodeId"])["outerHTML"]
            found.append((role, html[:120]))
    return found
