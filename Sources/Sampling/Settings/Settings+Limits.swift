import Engine

// Limits that depend on the model, or on more than a range.

extension Settings {
    typealias Fault = (problem: String, fix: String)

    static func sizeFault(
        _ size: Extent,
        _ model: ModelGeometry
    ) -> Fault? {
        let factor = model.vaeFactor
        guard size.height > 0, size.width > 0, size.longSide <= maxSide else {
            return (
                "\(size) is out of range", "Choose sides from \(factor) to \(maxSide) pixels"
            )
        }
        guard size.height % factor == 0, size.width % factor == 0 else {
            let near = { (side: Int) in max(factor, (side + factor / 2) / factor * factor) }
            return (
                "\(size) is not a multiple of \(factor) pixels",
                "The nearest is \(near(size.width))x\(near(size.height))"
            )
        }
        return nil
    }

    static func clipSkipFault(_ skip: Int?, _: ModelGeometry) -> Fault? {
        guard let skip, !(1...32).contains(skip) else { return nil }
        return ("\(skip) is out of range", "Choose 1 to 32")
    }

    static func strideFault(
        _ stride: WindowStride?,
        _ model: ModelGeometry
    ) -> Fault? {
        guard case .every(let stride) = stride, !(1...model.nativeLatentSide).contains(stride)
        else { return nil }
        return (
            "\(stride) is out of range",
            "Choose 1 to \(model.nativeLatentSide), the window's side in latent pixels"
        )
    }

    static func intervalFault(_ levels: [Double]?, _: ModelGeometry) -> Fault? {
        guard let levels else { return nil }
        guard levels.count == 2, levels[0] >= 0, levels[1] > levels[0] else {
            return (
                "\(levels.written) is not an interval of noise levels",
                "Give the lowest and the highest, such as 0.28,5.42"
            )
        }
        return nil
    }

    static func exponentsFault(
        _ exponents: [Double],
        _: ModelGeometry
    ) -> Fault? {
        guard exponents.count == 3 else {
            return ("there are \(exponents.count) numbers", "Give three, such as 3,1,1")
        }
        guard exponents.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
            return ("exponents must be finite and not negative", "Write 3,1,1")
        }
        return nil
    }
}
