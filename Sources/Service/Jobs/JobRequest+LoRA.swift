import Engine

extension JobRequest.LoRA {
    /// Maximum number of LoRAs of a job.
    static let maxCount = 20

    /// - Throws: `InputError` naming the field
    static func list(_ json: JSON) throws(InputError) -> [JobRequest.LoRA] {
        guard let items = json.array else {
            throw JobRequest.wrongType(
                "loras",
                "a list such as [{\"name\": \"x\", \"weight\": 0.8}]"
            )
        }
        guard items.count <= maxCount else {
            throw InputError(
                "loras",
                "there are \(items.count)",
                fix: "Give at most \(maxCount)"
            )
        }
        var loras: [JobRequest.LoRA] = []
        for item in items { loras.append(try JobRequest.LoRA(json: item)) }
        return loras
    }

    private init(json: JSON) throws(InputError) {
        guard let object = json.object, Set(object.keys).isSubset(of: ["name", "weight"]),
            let name = object["name"]?.string
        else {
            throw JobRequest.wrongType("loras", "objects with 'name' and perhaps 'weight'")
        }
        var weight = 1.0
        if let given = object["weight"], given != .null {
            guard let number = given.number, (-100...100).contains(number) else {
                throw JobRequest.wrongType("loras", "weights from -100 to 100")
            }
            weight = number
        }
        self.init(name: name, weight: weight)
    }

    var json: JSON { .object(["name": .string(name), "weight": .number(weight)]) }

    static var schema: JSON {
        .object([
            "type": .string("object"), "required": .array([.string("name")]),
            "additionalProperties": .bool(false),
            "properties": .object([
                "name": .object(["type": .string("string")]),
                "weight": .object([
                    "type": .string("number"), "minimum": .number(-100), "maximum": .number(100),
                ]),
            ]),
        ])
    }
}
