extension LoRASource {
    /// Rejects adapter weights for parts that a model does not have.
    ///
    /// - Parameters:
    ///   - family: the model's family
    ///   - unet: names of the UNet's weights
    /// - Throws: `InputError` naming the parts that the model has
    func checkParts(_ family: ModelFamily, unet: [String]) throws(InputError) {
        for part in parts {
            guard let scope = Self.scope(part.name) else { continue }
            let exists =
                scope.components == [.unet]
                ? unet.contains { $0.hasPrefix(scope.prefix) }
                : scope.components.contains(where: family.textEncoders.contains)
            guard !exists else { continue }
            throw InputError(
                "--lora \(argument)",
                "the model has no part '\(part.name)'",
                fix: "Its parts are \(Self.parts(family, unet: unet).joined(separator: ", "))"
            )
        }
    }

    /// The parts of a model, as written in `--lora`; a range of blocks is given by its first and last.
    private static func parts(_ family: ModelFamily, unet: [String]) -> [String] {
        let encoders = family.textEncoders.map { $0 == .textEncoder ? "te1" : "te2" }
        func blocks(_ name: String) -> [String] {
            let numbers = (0..<16).filter { number in
                unet.contains { $0.hasPrefix("\(name)_blocks.\(number).") }
            }
            guard let first = numbers.first, let last = numbers.last else { return [] }
            return [
                name, first == last ? "\(name).\(first)" : "\(name).\(first) to \(name).\(last)",
            ]
        }
        let middle = unet.contains { $0.hasPrefix("mid_block.") } ? ["mid"] : []
        return ["unet", "te"] + encoders + blocks("down") + middle + blocks("up")
    }
}
