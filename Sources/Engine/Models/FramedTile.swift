/// An activation of a tile with its margins, at the current resolution.
struct FramedTile {
    var x: Activation
    private(set) var margins: PicturePart.Margins
    private let course: NormStatistics
    private let backend: any Backend

    /// - Parameters:
    ///   - x: `[1, height, width, channels]`
    ///   - margins: in pixels of `x`
    ///   - course: is told which pixels to measure
    ///   - backend: of `x`
    init(
        _ x: Activation,
        _ margins: PicturePart.Margins,
        _ course: NormStatistics,
        _ backend: any Backend
    ) {
        (self.x, self.margins, self.course, self.backend) = (x, margins, course, backend)
        course.region = core
    }

    private var core: Region { margins.core(height: x.shape[1], width: x.shape[2]) }

    /// Crops the margins to at most `most` rows and columns on each side.
    mutating func trim(to limit: Int) {
        let (old, core) = (margins, core)
        margins = old.map { min($0, limit) }
        if margins != old {
            x = backend.pick(
                x,
                rows: Array(
                    core.rows.lowerBound - margins.top..<core.rows.upperBound + margins.bottom
                ),
                columns: Array(
                    core.columns.lowerBound - margins.left..<core.columns.upperBound + margins.right
                )
            )
        }
        course.region = self.core
    }

    /// Doubles the resolution.
    mutating func double(by upsample: Upsample) {
        x = upsample(x, height: 2 * x.shape[1], width: 2 * x.shape[2])
        margins = margins.map { 2 * $0 }
        course.region = core
    }

    /// Halves it. The tile must begin and end where the downsampling grid of the whole picture does.
    mutating func halve(by downsample: Downsample) {
        precondition(
            margins.map { $0 % 2 } == .none && x.shape[1] % 2 == 0 && x.shape[2] % 2 == 0,
            "\(x.shape) with \(margins)"
        )
        x = downsample(x)
        margins = margins.map { $0 / 2 }
        course.region = core
    }

    /// Some of the tile's own pixels.
    func pick(_ lattice: PicturePart.Lattice) -> Activation {
        let core = core
        let places = lattice.places(height: core.rows.count, width: core.columns.count)
        return backend.pick(
            x,
            rows: places.rows.map { core.rows.lowerBound + $0 },
            columns: places.columns.map { core.columns.lowerBound + $0 }
        )
    }
}

extension PicturePart.Margins {
    /// Applies the same change to every side.
    func map(_ change: (Int) -> Int) -> Self {
        Self(top: change(top), left: change(left), bottom: change(bottom), right: change(right))
    }
}
