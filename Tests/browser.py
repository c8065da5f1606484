"""Drives a headless Chromium through its DevTools protocol, over a pipe."""
import base64
import json
import os
import subprocess
import tempfile
import threading
import time

KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "ArrowUp": (38, ""), "ArrowDown": (40, ""),
        "PageDown": (34, ""), " ": (32, " ")}


class Browser:
    """One tab. Console errors are kept in `errors`."""

    def __init__(self, program="chromium"):
        self.profile = tempfile.TemporaryDirectory()
        to_read, self.write = os.pipe()
        self.read, to_write = os.pipe()

        def pipes():
            # Chromium reads commands from file descriptor 3 and writes answers to 4.
            first, second = os.dup(to_read), os.dup(to_write)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
             f"--user-data-dir={self.profile.name}", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.number, self.answers, self.errors = 0, {}, []
        self.arrived = threading.Condition()
        self.session = None
        threading.Thread(target=self._listen, daemon=True).start()
        tab = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def _listen(self):
        rest = b""
        while True:
            piece = os.read(self.read, 1 << 16)
            if not piece:
                return
            *messages, rest = (rest + piece).split(b"\0")
            for message in map(json.loads, messages):
                self._take(message)

    def _take(self, message):
        kind, given = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(given["exceptionDetails"])[:500])
        if kind == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.errors.append(f"{given['entry']['text']} {given['entry'].get('url', '')}")
        if "id" in message:
            with self.arrived:
                self.answers[message["id"]] = message
                self.arrived.notify_all()

    def send(self, method, **params):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        with self.arrived:
            assert self.arrived.wait_for(lambda: number in self.answers, timeout=60), method
            answer = self.answers.pop(number)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)

    def size(self, width, height, dark=False, touch=False, scale=1):
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=touch)
        self.send("Emulation.setTouchEmulationEnabled", enabled=touch)
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[theme])

    def open(self, address):
        self.send("Page.navigate", url=address)

    def js(self, expression):
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def until(self, expression, seconds=60):
        """Waits until a JavaScript expression is true, and returns its value."""
        deadline = time.time() + seconds
        while time.time() < deadline:
            try:
                value = self.js(expression)
            except AssertionError:
                # The page is still loading.
                value = None
            # A DOM element comes back as an empty object.
            if value or value == {}:
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {expression}\n{self.errors}")

    def place(self, selector):
        """The middle of an element, in the window, as a person sees it: nothing may cover it."""
        box = self.until(f"""(() => {{
            const element = document.querySelector({json.dumps(selector)});
            if (!element) return null;
            element.scrollIntoView({{block: "center"}});
            const box = element.getBoundingClientRect();
            const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
            const top = document.elementFromPoint(x, y);
            return element.contains(top) || top?.contains(element) ? [x, y] : null;
        }})()""", seconds=20)
        return box

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, selector):
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)

    def drag(self, selector, by, steps=8):
        """Drags an element up or down by so many pixels."""
        x, y = self.place(selector)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        for step in range(1, steps + 1):
            self.mouse("mouseMoved", x, y + by * step / steps, button="left", buttons=1)
            time.sleep(0.03)
        self.mouse("mouseReleased", x, y + by, button="left", clickCount=1)

    def drop(self, selector, path):
        """Drops a file on an element, as from a file manager."""
        x, y = self.place(selector)
        data = {"items": [], "files": [os.path.abspath(path)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def type(self, selector, text):
        """Replaces what a field has."""
        self.click(selector)
        self.js(f"document.querySelector({json.dumps(selector)}).select()")
        self.send("Input.insertText", text=text)

    def press(self, key):
        code, text = KEYS.get(key, (ord(key.upper()[0]), key))
        common = {"key": key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path):
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        shot = self.send("Page.captureScreenshot", format="png")
        open(path, "wb").write(base64.b64decode(shot["data"]))
