#!/usr/bin/env python3
"""The live page of `tessera serve`, as a person uses it: Tests/page.py PROGRAM MODEL [FLOW…]

Drives a headless Chromium. With SCREENSHOTS=FOLDER each flow leaves pictures there to look at.
"""
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser  # noqa: E402
from serve import SMALL, Service, run  # noqa: E402

LONG = {"size": "256x256", "steps": 400, "seed": 3}
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


def flow_submit(folder):
    """A picture from the form to the gallery: its price, its settings, and again with another seed."""
    service = Service(folder)
    browser = opened(service)
    browser.until("document.querySelector('#status').textContent === 'Ready'")
    browser.type("[name=prompt]", "a lake at sunset")
    browser.type("[name=width]", "128")
    browser.type("[name=height]", "192")
    browser.until("document.querySelector('#price').textContent.includes('UNet calls')")
    browser.type("[name=width]", "4")
    browser.until("document.querySelector('#compose-error').textContent !== ''")
    browser.type("[name=width]", "128")
    browser.until("document.querySelector('#compose-error').textContent === ''")
    browser.click("#advanced summary")
    browser.type("[name=steps]", "3")
    browser.type("[name=seed]", "7")
    browser.click("#compose [type=submit]")
    browser.until("document.querySelector('#gallery img[src]')?.complete")
    job = service.ok("GET", "/api/v1/jobs")["jobs"][0]
    assert job["request"]["prompt"] == "a lake at sunset" and (job["width"], job["height"]) == (128, 192)
    assert job["request"]["settings"]["steps"] == 3 and job["request"]["settings"]["seed"] == 7, job
    shot(browser, "submitted")

    # By keyboard: the picture opens, zooms, and gives the focus back.
    browser.js("document.querySelector('#gallery .shot').focus()")
    browser.press("Enter")
    browser.until("document.querySelector('#viewer').open && document.querySelector('.tools output').value.endsWith('%')")
    before = browser.js("document.querySelector('.tools output').value")
    browser.press("+")
    browser.until(f"document.querySelector('.tools output').value !== {json.dumps(before)}")
    assert "steps" in texts(browser, "#viewer dt") and "7" in texts(browser, "#viewer dd")
    browser.press("Escape")
    browser.until("!document.querySelector('#viewer').open && !document.querySelector('#viewer .side')")
    browser.until("document.activeElement.className === 'shot'")

    browser.press("Enter")
    browser.until("document.querySelector('#viewer .actions')")
    browser.js("[...document.querySelectorAll('#viewer button')].find(b => b.textContent === 'With another seed').click()")
    browser.until("document.querySelectorAll('#gallery img[src]').length === 2")
    first = service.ok("GET", "/api/v1/jobs")["jobs"][0]
    assert first["request"]["settings"]["seed"] != 7 and first["request"]["settings"]["steps"] == 3, first
    no_errors(browser, "422")
    browser.close()
    service.stop()


def flow_queue(folder):
    """Waiting jobs are moved by mouse and by keyboard, paused, resumed and cancelled; others' changes are seen."""
    service = Service(folder)
    browser = opened(service)
    running = service.submit(settings=LONG, prompt="a long one")["id"]
    ids = {name: service.submit(prompt=name)["id"] for name in "ABC"}
    browser.until("document.querySelectorAll('#queue li').length === 3")
    # With the workers the panel above has its height.
    browser.until("document.querySelector('.running progress').value > 0 && document.querySelector('.workers li')")
    assert order(browser) == ["A", "B", "C"]
    shot(browser, "queue")

    browser.drag(f"[data-id='{ids['C']}'] .grip", -140)
    browser.until("document.querySelector('#queue .what p').textContent === 'C'")
    deadline = time.time() + 10
    place = lambda name: service.ok("GET", f"/api/v1/jobs/{ids[name]}")["position"]  # noqa: E731
    while not place("C") < place("A") < place("B"):
        assert time.time() < deadline, "dragging did not reach the service"
        time.sleep(0.05)

    browser.js(f"document.querySelector(`[data-id='{ids['A']}'] .down`).focus()")
    browser.press("Enter")
    browser.until("[...document.querySelectorAll('#queue .what p')].map(e => e.textContent).join('') === 'CBA'")
    assert place("C") < place("B") < place("A")
    browser.until("document.activeElement.classList.contains('arrow')")

    service.ok("POST", f"/api/v1/jobs/{ids['B']}/move", {"before": ids["C"]})
    browser.until("document.querySelector('#queue .what p').textContent === 'B'")
    service.ok("POST", f"/api/v1/jobs/{ids['B']}/move", {"before": running}, status=409)
    service.ok("POST", f"/api/v1/jobs/{ids['B']}/move", {"after": None}, status=422)

    browser.js(f"[...document.querySelectorAll(`[data-id='{ids['A']}'] button`)].find(b => b.textContent === 'Pause').click()")
    browser.until("document.querySelector('#queue .tag')?.textContent === 'paused'")
    assert service.ok("GET", f"/api/v1/jobs/{ids['A']}")["state"] == "paused"
    browser.click(f"[data-id='{ids['A']}'] .danger")
    browser.until("document.querySelectorAll('#queue li').length === 2")
    browser.click(".running .danger")
    browser.until("document.querySelectorAll('#gallery img[src]').length === 2")
    done = [service.ok("GET", f"/api/v1/jobs/{ids[name]}")["finished"] for name in "BC"]
    assert done[0] < done[1], "the order of the page is not the order of the renders"
    no_errors(browser, "409")
    browser.close()
    service.stop()


def flow_running(folder):
    """A picture in progress is shown, with its views in the colours of their workers; then it is in the gallery."""
    service = Service(folder, "--workers", "2")
    settings = {"size": "256x256", "steps": 60, "seed": 3}
    browser = opened(service)
    id = service.submit(settings=settings)["id"]
    drawn = """(() => {
        const canvas = document.querySelector(".layers canvas%s");
        const data = canvas?.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const colours = new Set();
        for (let i = 0; data && i < data.length; i += 4) if (data[i + 3]) colours.add(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
        return colours.size >= %d;
    })()"""
    browser.until(drawn % ("", 100))
    browser.until(drawn % (".over", 2))
    views = service.ok("GET", f"/api/v1/jobs/{id}/views")
    assert views["width"] == 32 and views["windows"] and all(len(v) == 6 for v in views["windows"]), views
    shot(browser, "running")
    browser.click(".toggle input")
    browser.until("document.querySelector('.over').hidden")
    service.wait(id, "done")
    assert service.ok("GET", f"/api/v1/jobs/{id}/views")["windows"] == []
    browser.until("document.querySelector('#gallery img[src]') && document.querySelector('#running').hidden")
    waiting = service.submit(settings=LONG)["id"]
    queued = service.submit()["id"]
    assert service.call("GET", f"/api/v1/jobs/{queued}/preview")[0] == 204
    service.ok("POST", f"/api/v1/jobs/{queued}/cancel")
    service.ok("GET", f"/api/v1/jobs/{queued}/preview", status=409)
    service.ok("POST", f"/api/v1/jobs/{waiting}/cancel")
    no_errors(browser)
    browser.close()
    service.stop()


def flow_zoom(folder):
    """A large picture opens with few tiles; coming closer fetches the finer ones, and the middle stays sharp."""
    service = Service(folder)
    job = service.submit(settings={"size": "1152x832", "steps": 1, "seed": 1, "ladder": [1]})
    service.wait(job["id"], "done")
    tiles = service.ok("GET", f"/api/v1/jobs/{job['id']}/tiles")
    assert tiles["ready"] and tiles["levels"] == [[288, 208], [576, 416], [1152, 832]], tiles
    status, answer, content = service.call("GET", f"/api/v1/jobs/{job['id']}/tiles/2/1/2")
    assert status == 200 and answer.getheader("Content-Type") == "image/jpeg" and content[:2] == b"\xff\xd8"
    for place, status in (("2/2/0", 404), ("3/0/0", 404), ("0/0/-1", 404), ("x/0/0", 400), ("0/..%2f/0", 400)):
        service.ok("GET", f"/api/v1/jobs/{job['id']}/tiles/{place}", status=status)
    browser = opened(service)
    browser.until("document.querySelector('#gallery img[src]')")
    browser.click("#gallery .shot")
    browser.until("document.querySelector('.field-of-view').dataset.level === '2'")
    level = lambda: browser.js("document.querySelector('.field-of-view').dataset.level")  # noqa: E731
    percent = lambda: int(browser.js("parseInt(document.querySelector('.tools output').value)"))  # noqa: E731
    first = percent()
    shot(browser, "zoom-fit")
    x, y = browser.place(".field-of-view canvas")
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-480)
    browser.until(f"parseInt(document.querySelector('.tools output').value) >= {3 * first}")
    browser.press("1")
    browser.until("document.querySelector('.tools output').value === '100 %'")
    for _ in range(3):
        browser.press("ArrowDown")
    shot(browser, "zoom-full")
    browser.press("0")
    browser.until(f"parseInt(document.querySelector('.tools output').value) === {first}")
    assert level() == "2"
    no_errors(browser)
    browser.close()
    service.stop()


def flow_token(folder):
    """With tokens the page asks for one, keeps it for the tab, and shows its user's jobs alone."""
    service = Service(folder)
    token = service.tokens("new", "--user", "ann")
    other = service.tokens("new", "--user", "ben")
    service.headers = {"Authorization": f"Bearer {other}"}
    hidden = service.submit(prompt="of another")["id"]
    service.wait(hidden, "done")
    browser = Browser()
    browser.size(1280, 860)
    browser.open(f"http://127.0.0.1:{service.port}/")
    browser.until("document.querySelector('#sign-in').open")
    browser.type("#sign-in input", "wrong")
    browser.press("Enter")
    browser.until("document.querySelector('#sign-in .error').textContent.includes('not valid')")
    shot(browser, "token")
    browser.type("#sign-in input", token)
    browser.press("Enter")
    browser.until("!document.querySelector('#sign-in').open && document.querySelector('#status').textContent === 'Ready'")
    service.submit(prompt="of another again")
    service.headers = {"Authorization": f"Bearer {token}"}
    service.submit(prompt="of one's own")
    browser.until("document.querySelector('#gallery img[src]')?.complete")
    assert texts(browser, "#gallery .caption p") == ["of one's own"]
    browser.send("Page.reload")
    browser.until("document.querySelector('#gallery img[src]')?.complete")
    no_errors(browser, "401")
    browser.close()
    service.stop()


def flow_files(folder):
    """The page is whole without a token, asks nothing of others, and may run no script but its own."""
    service = Service(folder)
    service.tokens("new", "--user", "ann")
    status, answer, content = service.call("GET", "/")
    assert status == 200 and b"<title>Tessera</title>" in content
    policy = answer.getheader("Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy, policy
    for name in ("page.css", "main.js", "icon.svg"):
        status, answer, content = service.call("GET", f"/page/{name}")
        assert status == 200 and b"http://" not in content.replace(b"http://www.w3.org/", b""), name
        tag = answer.getheader("ETag")
        assert service.call("GET", f"/page/{name}", headers={"If-None-Match": tag})[0] == 304
    for path in ("/page/none.js", "/page/..%2f..%2fetc%2fpasswd", "/page/%2e%2e/jobs.sqlite"):
        assert service.call("GET", path)[0] in (401, 404), path
    service.stop()


def flow_phone(folder):
    """At the width of a phone nothing is wider than the window, by day and by night."""
    service = Service(folder)
    service.wait(service.submit()["id"], "done")
    service.submit(settings=LONG)
    service.submit(prompt="a long description of a picture that does not fit into one line of a phone")
    for dark in (False, True):
        browser = opened(service, width=390, height=844, dark=dark, touch=True)
        browser.until("document.querySelector('#gallery .shot') && document.querySelector('#queue li')")
        assert browser.js("document.documentElement.scrollWidth") == 390
        shot(browser, f"phone{'-dark' if dark else ''}")
        browser.js("document.querySelector('.flow').scrollIntoView()")
        browser.until("document.querySelector('.workers li')")
        shot(browser, f"phone-queue{'-dark' if dark else ''}")
        browser.click("#gallery .shot")
        browser.until("document.querySelector('.tools output')?.value.endsWith('%')")
        shot(browser, f"phone-viewer{'-dark' if dark else ''}")
        no_errors(browser)
        browser.close()
    service.stop()


if __name__ == "__main__":
    run(globals())
