import Foundation

/// An autoencoder that is used in place of a model's own: `--vae`.
struct VAESource: Sendable {
    let path: String
    /// Its format, as shown to users.
    let kind: String
    private let form: Form

    private enum Form: Sendable {
        /// A folder in Diffusers' layout with config.json.
        case folder(String)
        /// A file in the original layout: alone, or as a part of a whole model.
        case original(OriginalVAE, SafeTensors)
        /// A file in Diffusers' layout, and the config.json beside it, if any.
        case diffusers(SafeTensors, config: String?)
    }

    /// Opens a VAE; reads headers only.
    ///
    /// - Parameter path: a folder of a VAE or of a model, or a .safetensors file of either
    /// - Throws: `InputError` saying what it is instead
    init(path: String) throws(InputError) {
        self.path = path
        let place = "--vae \(path)"
        switch FileKind(path) {
        case nil:
            throw InputError(place, "no file or folder with this name exists", fix: "Name a VAE")
        case .folder:
            guard let folder = [path, "\(path)/vae"].first(where: Self.describesVAE) else {
                throw InputError(
                    place,
                    "neither it nor its folder vae has the config.json of an AutoencoderKL",
                    fix: "Name a VAE or a model in Diffusers layout, or a .safetensors file"
                )
            }
            (form, kind) = (.folder(folder), "folder in Diffusers layout")
        default:
            let file = try SafeTensors(file: path)
            if let vae = try Self.original(file) {
                (form, kind) = (.original(vae, file), "file in the original layout")
                return
            }
            guard file.info("decoder.up_blocks.0.resnets.0.conv1.weight") != nil else {
                let isTiny = file.names.contains {
                    $0.contains("coder.layers.") || $0.hasPrefix("1.conv.")
                }
                throw InputError(
                    place,
                    isTiny
                        ? "it is a tiny autoencoder (TAESD), made for previews" : "it is not a VAE",
                    fix: "Name a .safetensors file of an AutoencoderKL, or a model that has one"
                )
            }
            let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
            form = .diffusers(
                file,
                config: Self.describesVAE(folder) ? "\(folder)/config.json" : nil
            )
            kind = "file in Diffusers layout"
        }
    }

    /// Whether a folder is an autoencoder in Diffusers' layout.
    static func describesVAE(_ folder: String) -> Bool {
        let config = "\(folder)/config.json"
        guard FileManager.default.fileExists(atPath: config),
            let json = try? JSON(InputFile.bytes(config), place: config)
        else { return false }
        return json.object?["_class_name"]?.string == "AutoencoderKL"
    }

    private static func original(_ file: SafeTensors) throws(InputError) -> OriginalVAE? {
        let prefixes = [OriginalVAE.prefix, "", "vae."]
        guard
            let prefix = prefixes.first(where: {
                file.info("\($0)decoder.up.0.block.0.conv2.weight") != nil
            })
        else { return nil }
        // Training leaves tensors of the loss and of moving averages behind.
        let parts = ["encoder", "decoder", "quant_conv", "post_quant_conv"]
        let tensors = OriginalShapes(file, prefix: prefix) { name in
            parts.contains(String(name.prefix { $0 != "." }))
        }
        return try OriginalVAE(tensors)
    }

    /// Whether the file holds nothing but the VAE.
    var isAlone: Bool {
        switch form {
        case .folder: false
        case .original(let vae, _): vae.tensors.prefix != OriginalVAE.prefix
        case .diffusers: true
        }
    }

    /// Its configuration.
    ///
    /// - Parameter scaling: how the model's latents are scaled, for a VAE whose own files do not say so
    /// - Returns: the configuration
    /// - Throws: `InputError` if its file cannot be read, or a weight that it follows from is missing
    func config(scaling: [String: JSON]) throws(InputError) -> ConfigReader {
        switch form {
        case .folder(let folder): return try ConfigReader(file: "\(folder)/config.json")
        case .diffusers(_, let config?): return try ConfigReader(file: config)
        case .original(let vae, _):
            return try ConfigReader(try vae.config(scaling: scaling), place: "\(path) (its vae)")
        case .diffusers(let file, nil):
            let shapes = try Self.shape(OriginalShapes(file, prefix: ""))
            return try ConfigReader(
                .object(shapes.merging(scaling) { $1 }),
                place: "\(path) (its vae)"
            )
        }
    }

    /// The configuration that follows from tensors in Diffusers' layout.
    private static func shape(_ tensors: OriginalShapes) throws(InputError) -> [String: JSON] {
        let levels = tensors.count { "decoder.up_blocks.\($0).resnets.0.conv2.weight" }
        let blocks = tensors.count { "decoder.up_blocks.0.resnets.\($0).conv2.weight" }
        guard levels > 0, blocks > 1 else {
            throw tensors.unsupported("decoder", "it is not a Stable Diffusion decoder")
        }
        var channels: [Int] = []
        for level in (0..<levels).reversed() {
            let name = "decoder.up_blocks.\(level).resnets.0.conv2.weight"
            channels.append(try tensors.extent(name, axis: 0))
        }
        let attention = "decoder.mid_block.attentions.0."
        return [
            "block_out_channels": json(channels),
            "layers_per_block": .number(Double(blocks - 1)),
            "latent_channels": .number(
                Double(try tensors.extent("decoder.conv_in.weight", axis: 1))
            ),
            "out_channels": .number(Double(try tensors.extent("decoder.conv_out.weight", axis: 0))),
            "mid_block_add_attention": .bool(
                tensors.has("\(attention)to_q.weight") || tensors.has("\(attention)query.weight")
            ),
            "use_quant_conv": .bool(tensors.has("quant_conv.weight")),
            "use_post_quant_conv": .bool(tensors.has("post_quant_conv.weight")),
            "down_block_types": json(Array(repeating: "DownEncoderBlock2D", count: levels)),
            "up_block_types": json(Array(repeating: "UpDecoderBlock2D", count: levels)),
        ]
    }

    /// The table of its weights.
    func weights() throws(InputError) -> WeightTable {
        switch form {
        case .folder(let folder): try ComponentFiles(folder: folder).table()
        case .original(let vae, let file): vae.weights(file)
        case .diffusers(let file, _): WeightTable(file)
        }
    }

    /// The files that its weights are read from.
    func files() throws(InputError) -> [String] {
        guard case .folder(let folder) = form else { return [path] }
        return try ComponentFiles(folder: folder).weights
    }

    /// Hashes everything that the VAE is computed from.
    func addIdentity(to hash: FileHash) throws(InputError) {
        switch form {
        case .folder(let folder): try hash.add(file: "\(folder)/config.json")
        case .diffusers(_, let config?): try hash.add(file: config)
        case .original, .diffusers: break
        }
        for file in try files() { try hash.add(file: file) }
    }
}
