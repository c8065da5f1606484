import Foundation

/// The files with one component's weights, in a folder in the Diffusers layout: one file, or an index and
/// the shards that it names; under the plain name or as a variant, such as `fp16`.
package struct ComponentFiles: Equatable, Sendable {
    /// The component's folder.
    package let folder: String
    /// The file, or the shards in the order of their names.
    package let weights: [String]
    /// The index of the shards, nil for a single file.
    package let index: String?
    /// The variant in the files' names; nil for the plain name.
    package let variant: String?

    private static let stems = ["diffusion_pytorch_model", "model"]

    /// Finds the files: those with the plain name, else those of the only variant; a single file is preferred
    /// to shards.
    ///
    /// - Throws: `InputError` if there are no files, several variants, or an unusable index
    package init(folder: String) throws(InputError) {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw InputError(folder, "this folder cannot be read", fix: "Fetch it")
        }
        let found = names.compactMap(Candidate.init(name:)).sorted { $0.rank < $1.rank }
        guard let best = found.first else {
            let pickled = names.contains { $0.hasSuffix(".bin") || $0.hasSuffix(".ckpt") }
            throw InputError(
                folder,
                "there is no \(Self.stems.map { "\($0).safetensors" }.joined(separator: " or "))",
                fix: pickled
                    ? "Pickled weights (.bin) can run code and are not read. \(Conversion.pickle)"
                    : "The folder must hold a model in Diffusers layout"
            )
        }
        let variants = Set(found.compactMap(\.variant)).sorted()
        if best.variant != nil, variants.count > 1 {
            throw InputError(
                folder,
                "it holds the variants \(variants.joined(separator: ", ")) and no plain weights",
                fix: "Keep one of them here, or name its file \(best.stem).safetensors"
            )
        }
        self.folder = folder
        variant = best.variant
        if best.isIndex {
            let index = "\(folder)/\(best.name)"
            self.index = index
            weights = try ShardIndex(file: index).shards.map { "\(folder)/\($0)" }
        } else {
            index = nil
            weights = ["\(folder)/\(best.name)"]
        }
    }

    /// Opens the files; reads headers only.
    ///
    /// - Throws: `InputError` if one is missing or damaged, or the index does not fit the shards
    package func table() throws(InputError) -> WeightTable {
        guard let index else { return WeightTable(try SafeTensors(file: weights[0])) }
        return try ShardIndex(file: index).table(folder: folder)
    }

    /// The name of a file of weights or of an index, split into its parts.
    private struct Candidate {
        let name: String
        let stem: String
        let variant: String?
        let isIndex: Bool

        /// Plain names before variants, single files before shards, the UNet's and VAE's name before the
        /// other.
        var rank: (Int, Int, Int, String) {
            (
                variant == nil ? 0 : 1, isIndex ? 1 : 0,
                ComponentFiles.stems.firstIndex(of: stem) ?? 0, name
            )
        }

        /// - Returns: nil for `x-00001-of-00002.safetensors`, which an index names, and for anything else
        init?(name: String) {
            var parts = name.split(separator: ".", omittingEmptySubsequences: false).map(
                String.init
            )
            guard let stem = parts.first, ComponentFiles.stems.contains(stem) else { return nil }
            let last = parts.removeLast()
            // The variant comes before the last part, before ".safetensors", or between the two,
            // depending on the versions of Diffusers and Transformers.
            var middle = parts.dropFirst()
            func take(_ part: String) -> Bool {
                guard let at = middle.firstIndex(of: part) else { return false }
                middle.remove(at: at)
                return true
            }
            switch last {
            case "safetensors": isIndex = false
            case "json":
                guard take("safetensors"), take("index") else { return nil }
                isIndex = true
            default: return nil
            }
            guard middle.count <= 1, middle.first?.isEmpty != true,
                middle.first?.contains("-of-") != true
            else { return nil }
            self.name = name
            self.stem = stem
            variant = middle.first
        }
    }
}
