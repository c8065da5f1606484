import Service
import Testing

/// Refusals by commands, in the words of an API request.
@Suite struct APIWordsTests {
    @Test(arguments: [
        ("--bit-depth 16", "bitDepth"), ("--size 65x64", "size"), ("--refine-from", "refine-from"),
        ("--init-image: x", "initImage"), ("--output picture.webp", "format"), ("prompt", "prompt"),
        ("/models/a", "/models/a"),
    ])
    func fields(place: String, field: String) {
        #expect(APIWords.field(place) == field)
    }

    @Test func flagsInATextAreFields() {
        let text = "--size 65x64: no. Choose a smaller --size (or --bit-depth 8)"
        #expect(
            APIWords.withoutFlags(text) == "size 65x64: no. Choose a smaller size (or bitDepth 8)"
        )
        #expect(APIWords.withoutFlags("a--b is not --") == "a--b is not --")
    }
}
