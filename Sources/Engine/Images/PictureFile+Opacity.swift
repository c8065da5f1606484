extension PictureFile {
    /// Passes the opacity of each row's pixels, from top to bottom: 0…1, or 1 in a picture without transparency.
    ///
    /// - Parameter body: receives each row
    /// - Throws: as `rows`
    package func opacity(_ body: ([Float]) throws -> Void) throws {
        let reader = try openedReader()
        let layout = reader.layout
        guard layout.hasAlpha else {
            let row = [Float](repeating: 1, count: width)
            for _ in 0..<height { try body(row) }
            return
        }
        let channels = layout.channels
        let observe: (Double) -> Void = { _ in }
        try reader.uprightRows(observe) { row in
            try body((0..<width).map { Float(row[$0 * channels + channels - 1]) / 65535 })
        }
    }
}
