import Engine

/// How a render makes use of the picture that it begins with.
package struct PictureStart: Equatable, Sendable {
    /// Share of the noise schedule that is run in every phase, 0…1: of n steps the last ⌊n · strength⌋.
    package var strength: Double
    /// Share of the picture's own resolution down to which the result is held to it, 0…1.
    package var fidelity: Double
    /// What of the picture is shown.
    package var frame: PictureFrame

    package init(strength: Double, fidelity: Double, frame: PictureFrame) {
        (self.strength, self.fidelity, self.frame) = (strength, fidelity, frame)
    }

    /// Steps of `count` that are not run.
    func skipped(of count: Int) -> Int { count - min(count, Int(Double(count) * strength)) }

    /// Refuses a strength, 0…1, of which too few steps leave nothing.
    ///
    /// - Throws: `InputError` naming the flag
    func validate(steps: Int) throws(InputError) {
        guard strength == 0 || skipped(of: steps) < steps else {
            throw InputError(
                "--strength",
                "\(strength) of \(steps) steps is not one step",
                fix: "Choose more of either, or 0 to change nothing"
            )
        }
    }

    /// What is held of a phase; nil for nothing.
    func hold(_ latent: Extent, vaeFactor: Int) -> PictureHold? {
        func side(_ part: Range<Double>) -> Double {
            (part.upperBound - part.lowerBound) / Double(vaeFactor)
        }
        return PictureHold(
            fidelity: fidelity,
            of: (side(frame.rows), side(frame.columns)),
            latent: latent
        )
    }

    /// The size of the result where none is asked for: the picture's own, less what is no multiple of the
    /// VAE's factor; a picture that is smaller than those that the model makes is enlarged to them.
    package static func defaultSize(of picture: Extent, model: ModelGeometry) -> Extent {
        let scale = max(1, Double(model.nativeSide) / Double(picture.longSide))
        func side(_ length: Int) -> Int {
            let pixels = Int((Double(length) * scale + 1e-9).rounded(.down))
            return max(1, pixels / model.vaeFactor) * model.vaeFactor
        }
        return Extent(height: side(picture.height), width: side(picture.width))
    }
}
