import Engine
import Service
import Testing

/// Forms that contain pictures.
@Suite struct MultipartTests {
    private let type = "multipart/form-data; boundary=xx"

    private func form(_ text: String, type: String? = nil) throws -> MultipartForm {
        try MultipartForm(Array(text.utf8), type: type ?? self.type)
    }

    @Test func partsAreRead() throws {
        let form = try form(
            "preamble\r\n--xx\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na cat\r\n"
                + "--xx  \r\ncontent-disposition: form-data; filename=\"a;\\\"b.png\"; name=image\r\n"
                + "Content-Type: image/png\r\n\r\n\r\n--x\r\n\r\n--xx--\r\nepilogue"
        )
        #expect(form.parts.count == 2)
        #expect(form["prompt"]?.text == "a cat" && form["prompt"]?.fileName == nil)
        #expect(form["image"]?.fileName == "a;\"b.png")
        #expect(form["image"].map { Array($0.content) } == Array("\r\n--x\r\n".utf8))
        #expect(form["other"] == nil)
    }

    @Test func emptyPartsAndQuotedBoundaries() throws {
        let form = try form(
            "--a b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n--a b--",
            type: "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\""
        )
        #expect(form["x"]?.content.isEmpty == true)
    }

    @Test(arguments: [
        "", "--xx", "--xx\r\n", "--xx--", "--xx\r\n\r\n\r\n--xx--", "--xxy\r\n--xx--",
        "--xx\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nabc",
        "--xx\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--xx--",
        "--xx\r\nContent-Disposition: form-data; name=\"x\"\r\nabc\r\n--xx--",
    ]) func malformed(_ text: String) {
        // A form without parts is complete, and empty.
        if text == "--xx--" {
            #expect((try? form(text))?.parts.isEmpty == true)
        } else {
            #expect(throws: MultipartForm.Malformed.self) { try form(text) }
        }
    }

    @Test func hostileTypesAndCounts() {
        for type in [
            "", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; boundary=xx",
        ] {
            #expect(throws: MultipartForm.Malformed.self) { try form("--xx--", type: type) }
        }
        let part = "--xx\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n"
        let many = String(repeating: part, count: MultipartForm.maxParts + 1)
        #expect(throws: MultipartForm.Malformed.self) { try form(many + "--xx--") }
        let long = "--xx\r\nX: " + String(repeating: "a", count: 10_000) + "\r\n\r\n\r\n--xx--"
        #expect(throws: MultipartForm.Malformed.self) { try form(long) }
    }

    /// No truncation and no changed byte of a form crashes the parser.
    @Test func damagedFormsAreRefusedOrRead() throws {
        let whole = Array(
            ("--xx\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\\\"\"\r\n\r\nb\r\n--xx--")
                .utf8
        )
        for end in whole.indices {
            _ = try? MultipartForm(Array(whole[..<end]), type: type)
            for byte: UInt8 in [0, 0x0A, 0x22, 0x2D, 0xFF] {
                var damaged = whole
                damaged[end] = byte
                _ = try? MultipartForm(damaged, type: type)
            }
        }
        #expect(try MultipartForm(whole, type: type)["a"]?.text == "b")
    }

    private func edit(_ fields: [(String, String)], isVariation: Bool = false) throws -> OpenAIEdit
    {
        let text = fields.map { name, value in
            let file = ["image", "image[]", "mask"].contains(name) ? "; filename=\"f\"" : ""
            return
                "--xx\r\nContent-Disposition: form-data; name=\"\(name)\"\(file)\r\n\r\n\(value)\r\n"
        }
        return try OpenAIEdit(try form(text.joined() + "--xx--"), isVariation: isVariation)
    }

    @Test func editsOfOpenAI() throws {
        let edit = try edit([
            ("image[]", "PNG"), ("mask", "M"), ("prompt", "a cat"), ("n", "2"),
            ("size", "64x128"), ("stream", "true"), ("output_format", "jpeg"),
            ("output_compression", "80"), ("colour", "red"),
        ])
        #expect(Array(edit.image) == Array("PNG".utf8) && edit.mask.map(Array.init) == [0x4D])
        #expect(edit.wanted.count == 2 && edit.wanted.streams && edit.wanted.prompt == "a cat")
        let request = edit.wanted.request
        #expect(request.format == .jpeg && request.quality == 80)
        #expect(request.settings["size"] == .string("64x128"))
        let variation = try self.edit([("image", "P"), ("prompt", "no")], isVariation: true)
        #expect(variation.wanted.prompt == " " && variation.mask == nil)
    }

    @Test func refusedEdits() {
        let image = ("image", "P")
        for (fields, word) in [
            ([("prompt", "a")], "image"), ([image, image, ("prompt", "a")], "image"),
            ([image], "prompt"), ([image, ("prompt", "a"), ("n", "two")], "n"),
            ([image, ("prompt", "a"), ("stream", "yes")], "stream"),
        ] {
            let error = #expect(throws: InputError.self) { try edit(fields) }
            #expect(error?.place == word)
        }
    }
}
