import Engine

/// How a render uses its init image.
package struct PictureStart: Equatable, Sendable {
    /// Fraction of the noise schedule that is run in every phase, 0…1: the last ⌊n · strength⌋ of n steps.
    package var strength: Double
    /// Fraction of the picture's own resolution up to which the result is constrained to it, 0…1.
    package var fidelity: Double
    /// The part of the picture that is shown.
    package var frame: PictureFrame

    package init(strength: Double, fidelity: Double, frame: PictureFrame) {
        (self.strength, self.fidelity, self.frame) = (strength, fidelity, frame)
    }

    /// Number of the `count` steps that are skipped.
    func skipped(of count: Int) -> Int { count - min(count, Int(Double(count) * strength)) }

    /// Rejects a strength above 0 that leaves no step to run.
    ///
    /// - Throws: `InputError` naming the flag
    func validate(steps: Int) throws(InputError) {
        guard strength == 0 || skipped(of: steps) < steps else {
            throw InputError(
                "--strength",
                "\(strength) of \(steps) steps is less than one step",
                fix: "Increase either, or use 0 to change nothing"
            )
        }
    }

    /// The constraint of a phase to the picture; nil for none.
    func constraint(_ latent: Extent, vaeFactor: Int) -> PictureConstraint? {
        func side(_ part: Range<Double>) -> Double {
            (part.upperBound - part.lowerBound) / Double(vaeFactor)
        }
        return PictureConstraint(
            fidelity: fidelity,
            of: (side(frame.rows), side(frame.columns)),
            latent: latent
        )
    }

    /// The default size of the result: the picture's own, rounded down to a multiple of the VAE's factor. Pictures
    /// smaller than the model's native size are enlarged to it.
    package static func defaultSize(of picture: Extent, model: ModelGeometry) -> Extent {
        let scale = max(1, Double(model.nativeSide) / Double(picture.longSide))
        func side(_ length: Int) -> Int {
            let pixels = Int((Double(length) * scale + 1e-9).rounded(.down))
            return max(1, pixels / model.vaeFactor) * model.vaeFactor
        }
        return Extent(height: side(picture.height), width: side(picture.width))
    }
}
