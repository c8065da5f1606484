import Coordinator
import Engine
import TestSupport
import Testing

/// Limits on an init image that somebody else provides.
@Suite struct InitPictureTests {
    private func withPicture(_ body: (String) throws -> Void) throws {
        try inTemporaryFolder { folder in
            let photo = "\(folder)/photo.png"
            let writer = try PNGWriter(file: photo, width: 60, height: 40)
            try writer.write(rows: Array(repeating: 9, count: 60 * 40 * 3))
            try writer.finish()
            try body(photo)
        }
    }

    private let frame = PictureFrame(
        ofHeight: 40,
        width: 60,
        covering: (40, 60),
        slack: 1
    )

    @Test func pixelsAreCounted() throws {
        try withPicture { photo in
            let limits = PictureLimits(pixels: 2399)
            let error = #expect(throws: InputError.self) {
                try InitPicture(photo, limits: limits)
            }
            #expect(error?.problem.contains("60×40") == true, "\(error as Any)")
            let allowed = try InitPicture(photo, limits: PictureLimits(pixels: 2400))
            #expect(allowed.size.area == 2400)
        }
    }

    @Test func timeIsCounted() throws {
        try withPicture { photo in
            let picture = try InitPicture(photo, limits: PictureLimits(seconds: 0))
            let error = #expect(throws: InputError.self) {
                try picture.prepare(picture.size, frame: frame)
            }
            #expect(error?.place == photo && error?.problem.contains("longer than") == true)
            let patient = try InitPicture(photo, limits: PictureLimits(seconds: 100))
            try patient.prepare(patient.size, frame: frame)
        }
    }

    @Test func readingIsObserved() throws {
        try withPicture { photo in
            var shares: [Double] = []
            _ = try ScaledPicture(
                try PictureFile(photo),
                frame: frame,
                height: 40,
                width: 60
            ) { shares.append($0) }
            #expect(shares.count == 40 && shares == shares.sorted() && shares.last == 1)
        }
    }
}
