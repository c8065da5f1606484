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
from page_person import (  # noqa: E402
    choose, eventually, nameless, no_errors, opened, order, press_button, shot, texts, watch,
)
from serve import FIXTURES, SMALL, Service, run  # noqa: E402

LONG = {"size": "256x256", "steps": 400, "seed": 3}


def flow_submit(folder):
    """A picture from the form to the gallery: its price, its settings, and again with another seed."""
    service = Service(folder)
    browser = opened(service)
    browser.until("document.querySelector('#status').textContent === 'Ready'")
    # A missing field is reported once, by the page itself.
    browser.click("#compose [type=submit]")
    browser.until("document.querySelector('#compose-error').textContent === 'Prompt: it is missing.'")
    assert browser.js("document.activeElement.name") == "prompt"
    browser.type("[name=prompt]", "a lake at sunset")
    browser.type("[name=width]", "128")
    browser.type("[name=height]", "192")
    browser.until("document.querySelector('#price').textContent.includes('UNet calls')")
    # What each preset would cost, next to its name.
    browser.until("[...document.querySelectorAll('#presets small')].every(e => /^[\\d,]+ calls$/.test(e.textContent))")
    costs = texts(browser, "#presets small")
    assert len(costs) > 3 and len(set(costs)) > 1, costs
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
    # By now it is known how long a picture takes.
    browser.until("[...document.querySelectorAll('#presets small')].every(e => /^[\\d,]+ calls\\n\\d+ /.test(e.textContent))")
    shot(browser, "submitted")

    # By keyboard: the picture opens, zooms, and returns the focus.
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
    # With the workers shown, the panel above has its final height.
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

    # Priority comes before position, also while others render; a running job has a priority, too.
    choose(browser, f"[data-id='{ids['C']}'] .priority", 10)
    browser.until("document.querySelector('#queue .what p').textContent === 'C'")
    assert service.ok("GET", f"/api/v1/jobs/{ids['C']}")["priority"] == 10
    service.ok("PATCH", f"/api/v1/jobs/{ids['C']}", {"priority": -10})
    browser.until("[...document.querySelectorAll('#queue .what p')].map(e => e.textContent).join('') === 'BAC'")
    choose(browser, ".running .priority", 10)
    browser.until("document.querySelector('.running .priority').value === '10'")
    eventually(lambda: service.ok("GET", f"/api/v1/jobs/{running}")["priority"] == 10)

    press_button(browser, f"[data-id='{ids['A']}'] button", "Pause")
    browser.until("document.querySelector('#queue .tag')?.textContent === 'paused'")
    assert service.ok("GET", f"/api/v1/jobs/{ids['A']}")["state"] == "paused"
    press_button(browser, f"[data-id='{ids['A']}'] button", "Resume")
    browser.until("!document.querySelector('#queue .tag')")
    press_button(browser, ".running button", "Pause")
    browser.until(f"document.querySelector(`#queue [data-id='{running}'] .tag`)?.textContent === 'paused'")
    service.ok("POST", f"/api/v1/jobs/{ids['B']}/pause")
    service.ok("POST", f"/api/v1/jobs/{ids['C']}/pause")
    press_button(browser, f"[data-id='{running}'] button", "Resume")
    browser.until(f"document.querySelector(`#running [data-id='{running}']`)")
    for name in "BC":
        service.ok("POST", f"/api/v1/jobs/{ids[name]}/resume")
    # Wait until the rows stand still before clicking one.
    browser.until("!document.querySelector('#queue .tag')")
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
    # Its last phase has windows.
    found = lambda kind, data: kind == "views" and data["windows"]  # noqa: E731
    kinds, views = watch(service, f"/api/v1/jobs/{id}/events?views=true", found)
    assert views["width"] == 32 and all(len(v) == 6 for v in views["windows"]) and views["job"] == id, views
    assert views["estimate"] > 0 and kinds[:2] == ["state", "workers"], (kinds, views)
    # Only clients that ask for views get them, however long they watch.
    kinds, _ = watch(service, "/api/v1/events", lambda kind, data: kind == "progress" and data["step"] > 20)
    assert "progress" in kinds and not {"views", "workers"} & set(kinds), kinds
    service.ok("GET", "/api/v1/events?views=maybe", status=400)
    shot(browser, "running")
    # The page does not request views: they are pushed to it.
    asked = browser.js("performance.getEntriesByType('resource').map(e => e.name)")
    assert not [name for name in asked if name.endswith(("/views", "/workers"))], asked
    browser.click(".toggle input")
    browser.until("document.querySelector('.over').hidden")
    # A resumed job shows what was there before.
    service.ok("POST", f"/api/v1/jobs/{id}/pause")
    service.wait(id, "paused")
    service.ok("POST", f"/api/v1/jobs/{id}/resume")
    service.wait(id, "running")
    assert service.call("GET", f"/api/v1/jobs/{id}/preview")[0] == 200
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


def flow_again(folder):
    """A finished picture is rendered again, larger, and edited; a picture that is dropped on the form is what a job starts from."""
    service = Service(folder)
    first = service.wait(service.submit(prompt="first", settings=SMALL)["id"], "done")
    browser = opened(service)
    jobs = lambda: service.ok("GET", "/api/v1/jobs")["jobs"]  # noqa: E731

    def act(text, count):
        browser.until("document.querySelector('#gallery .shot')")
        browser.js(f"document.querySelector(`#gallery [data-id='{first['id']}'] .shot`).click()")
        press_button(browser, "#viewer .actions button", text)
        browser.until("!document.querySelector('#viewer').open")
        if count:
            browser.until(f"document.querySelectorAll('#gallery img[src]').length === {count}")
    act("Render again", 2)
    again = jobs()[0]
    pictures = [service.call("GET", f"/api/v1/jobs/{job['id']}/picture")[2] for job in (first, again)]
    assert again["id"] != first["id"] and pictures[0] == pictures[1], "another picture"
    act("Twice as large", 3)
    assert (jobs()[0]["width"], jobs()[0]["height"]) == (256, 384)
    act("Edit as new", 0)
    values = browser.js("['prompt', 'width', 'seed', 'steps'].map(n => document.querySelector(`#compose [name=${n}]`).value)")
    assert values == ["first", "128", "1", "4"], values

    photo = f"{FIXTURES}/inpaint/photo.png"
    browser.drop("#drop", photo)
    browser.until("!document.querySelector('#init-shown').hidden && document.querySelector('#init-shown img').complete")
    shot(browser, "dropped")
    # The form takes the picture's aspect ratio, at the size that was set before.
    assert browser.js("document.querySelector('[name=width]').value === document.querySelector('[name=height]').value")
    browser.click("#advanced summary")
    browser.type("[name=steps]", "2")
    browser.click("#compose [type=submit]")
    browser.until("document.querySelectorAll('#gallery img[src]').length === 4")
    stored = jobs()[0]["request"]["initImage"]
    assert open(f"{folder}/data/inputs/{stored}", "rb").read() == open(photo, "rb").read()
    press_button(browser, "#init-shown button", "Remove")
    browser.until("document.querySelector('#init-shown').hidden")
    browser.drop("#drop", f"{FIXTURES}/../page.py")
    browser.until("document.querySelector('#note').textContent.includes('picture')")
    no_errors(browser, "422")
    browser.close()
    service.stop()


def flow_names(folder):
    """A screen reader can name every control, in every part of the page, and Tab reaches what a person presses."""
    service = Service(folder)
    service.wait(service.submit(prompt="a finished one")["id"], "done")
    service.submit(settings=LONG, prompt="a long one")
    service.submit(prompt="a waiting one")
    browser = opened(service)
    browser.until("document.querySelector('#gallery img[src]') && document.querySelector('.workers li') && document.querySelector('#queue li')")
    browser.click("#advanced summary")
    assert not nameless(browser), nameless(browser)
    tree = browser.send("Accessibility.getFullAXTree")["nodes"]
    names = {node["name"]["value"] for node in tree if not node["ignored"] and node.get("name", {}).get("value")}
    assert {"Width", "Height", "Prompt", "Render", "Open: a finished one", "Priority of a waiting one",
            "Preview of the picture"} <= names, sorted(names)
    # What is outside the tab order is hidden from screen readers, or is not a control.
    lost = browser.js("""[...document.querySelectorAll("button, select, input, textarea, a[href]")]
        .filter(e => e.tabIndex < 0 && e.ariaHidden !== "true").map(e => e.outerHTML.slice(0, 80))""")
    assert lost == [], lost
    browser.js("document.querySelector('#gallery .shot').focus()")
    browser.press("Enter")
    browser.until("document.querySelector('.tools output')?.value.endsWith('%')")
    assert not nameless(browser), nameless(browser)
    no_errors(browser)
    browser.close()
    service.tokens("new", "--user", "ann")
    browser = Browser()
    browser.size(1280, 860)
    browser.open(f"http://127.0.0.1:{service.port}/")
    browser.until("document.querySelector('#sign-in').open")
    assert not nameless(browser), nameless(browser)
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
    browser.until("document.querySelector('#sign-in .error').textContent.includes('invalid')")
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
        browser.until("[...document.querySelectorAll('#presets small')].every(e => e.textContent)")
        assert browser.js("document.documentElement.scrollWidth") == 390
        light = browser.js("Math.max(...getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number))")
        assert light < 60 if dark else light > 200, light
        # Nothing overflows the side of its box, either.
        cut = browser.js("""[...document.querySelectorAll("#compose *, .flow *")].filter(e => e.scrollWidth > e.clientWidth + 1
            && getComputedStyle(e).overflowX === "visible" && e.clientWidth > 1).map(e => e.outerHTML.slice(0, 80))""")
        assert cut == [], cut
        shot(browser, f"phone{'-dark' if dark else ''}")
        browser.click("#advanced summary")
        browser.until("document.querySelector('#advanced').open")
        assert browser.js("document.documentElement.scrollWidth") == 390
        browser.click("#advanced summary")
        browser.js("document.querySelector('.flow').scrollIntoView()")
        browser.until("document.querySelector('.workers li')")
        shot(browser, f"phone-queue{'-dark' if dark else ''}")
        browser.click("#gallery .shot")
        browser.until("document.querySelector('.tools output')?.value.endsWith('%')")
        assert browser.js("document.querySelector('#viewer').scrollWidth") == 390
        shot(browser, f"phone-viewer{'-dark' if dark else ''}")
        no_errors(browser)
        browser.close()
    service.stop()


if __name__ == "__main__":
    run(globals())
